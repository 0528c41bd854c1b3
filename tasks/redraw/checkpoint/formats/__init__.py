"""The formats of checkpoint files, one module each, recognized by their content.

tensor_bundle   tf.train.Checkpoint, TF1's Saver V2, Keras callbacks, a SavedModel's variables/
saver_v1        TF1's Saver V1: one file, or one a shard
keras           Keras 3 `.keras`: an archive of configuration and weights
keras_weights   Keras 3 `.weights.h5`
keras_h5        Keras 2 `.h5`: a whole model, or only weights
"""
