"""Networks of every kind behind one face: Keras models, `tf.Module`s and TF1 graph functions."""
