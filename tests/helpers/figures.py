"""Figures as the bytes that they are drawn to."""

import io
import warnings


def drawn(figure):
    """The PNG, made with every warning an error."""
    with warnings.catch_warnings(), io.BytesIO() as file:
        warnings.simplefilter("error")
        figure.savefig(file, format="png", dpi=60)
        return file.getvalue()
