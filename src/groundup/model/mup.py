"""Maximal update parametrization: a learning rate found for a narrow model serves wide ones.

Yang et al. 2022, "Tensor Programs V". What of it is in the model itself: `ModelConfig.score_scale`, `.output_scale`,
and the widths in `initialize`.
"""

from groundup.model.config import ModelConfig
from groundup.model.initialize import TABLES
from groundup.model.language_model import LanguageModel


def learning_rate_factors(model: LanguageModel, *, orthogonalized: bool) -> dict[str, float]:
    """Factor of the learning rate of each weight that has another than 1, by name.

    An update of Adam has elements of one size, so that its effect on a layer grows with the layer's inputs: 1 / width.
    An orthogonalized one, scaled to elements of that same size (Muon), has a spectral norm that grows with the square
    root of the width: 1 / sqrt(width).
    """
    config: ModelConfig = model.config
    if not config.mup_base_width:
        return {}
    wider = config.d_model / config.mup_base_width
    factor = wider**-0.5 if orthogonalized else 1 / wider
    return {name: factor for name, parameter in model.named_parameters() if parameter.dim() >= 2 and name not in TABLES}
