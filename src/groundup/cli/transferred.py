"""What import and export tell of a model that was written."""

from groundup.core.progress import Reporter, human_number
from groundup.interop.transfer import Transferred


def tell_transferred(result: Transferred, reporter: Reporter) -> None:
    """One line: where it is, how large, and how exact."""
    rounding = f", {result.rounding_logit_diff:.2g} by rounding of weights" if result.rounding_logit_diff else ""
    reporter.say(
        f"{result.path}: {result.family}, {human_number(result.parameters)} parameters; read back, logits differ by "
        f"{result.max_logit_diff:.2g}{rounding}"
    )
