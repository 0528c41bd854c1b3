"""Networks of every kind behind one interface: Keras models, `tf.Module`s and TF1 graph functions."""
