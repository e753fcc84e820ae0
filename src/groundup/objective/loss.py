"""What an objective gives back."""

from typing import NamedTuple

from torch import Tensor


class Loss(NamedTuple):
    """Sums over (a part of) a batch. What is learned from is their sum; what is told is the first."""

    main: Tensor
    """The loss that says how good the model is."""
    auxiliary: Tensor | None = None
    """What else training needs: experts that are evenly busy, tokens further ahead."""
