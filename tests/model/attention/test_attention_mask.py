import pytest
import torch

from groundup.model.attention.mask import Visibility
from groundup.model.position.alibi import Alibi
from groundup.model.position.scheme import Position

CPU = torch.device("cpu")
NO_BIAS = Position().bias
DOCUMENTS = torch.tensor([[0] * 5 + [1] * 4 + [2] * 3, [0] * 11 + [-1]])


class Read:
    """A cache in which so many tokens lie."""

    def __init__(self, documents, length):
        self.layers, self.length, self._documents = (), length, documents

    def extend(self, documents):
        return torch.cat((self._documents[:, : self.length], documents), 1)


@pytest.mark.parametrize("window", [None, 1, 3, 12, 99])
@pytest.mark.parametrize("bias", [NO_BIAS, Alibi(4).bias], ids=["plain", "alibi"])
@pytest.mark.parametrize("documents", [None, DOCUMENTS], ids=["one document", "documents"])
@pytest.mark.parametrize("past", [0, 7, 11])
def test_masks_are_those_written_by_hand(window, bias, documents, past):
    cache = Read(DOCUMENTS, past) if past else None
    new = documents[:, past:] if documents is not None else None
    mask = Visibility(12 - past, new, cache, CPU).mask(window, bias, torch.float32)
    if mask is None:
        assert documents is None and bias is NO_BIAS and (window is None or window >= 12) and past in (0, 11)
        return
    slopes = [2**-2, 2**-4, 2**-6, 2**-8]
    full = mask.expand(2, 4, 12 - past, 12)
    for row in range(2):
        for i in range(past, 12):
            for j in range(12):
                visible = j <= i and (window is None or i - j < window)
                if documents is not None:
                    visible = visible and bool(documents[row, i] == documents[row, j])
                for head, slope in enumerate(slopes):
                    value = full[row, head, i - past, j].item()
                    if mask.dtype == torch.bool:
                        assert value == visible
                    else:
                        assert value == (-slope * (i - j) if visible else float("-inf"))


def test_no_mask_is_made_where_causal_order_says_it_all():
    assert Visibility(12, None, None, CPU).mask(None, NO_BIAS, torch.float32) is None
    assert Visibility(12, None, None, CPU).mask(12, NO_BIAS, torch.float32) is None
    assert Visibility(1, None, Read(DOCUMENTS, 4), CPU).mask(None, NO_BIAS, torch.float32) is None
