"""The stages, in the order in which they run."""

from groundup.pipeline.stage import Stage
from groundup.pipeline.stages.data import DataStage
from groundup.pipeline.stages.eval import EvalStage
from groundup.pipeline.stages.pretrain import PretrainStage
from groundup.pipeline.stages.sft import SftStage
from groundup.pipeline.stages.tokenizer import TokenizerStage
from groundup.pipeline.stages.tokens import TokensStage

STAGES: tuple[Stage, ...] = (
    DataStage(),
    TokenizerStage(),
    TokensStage(),
    PretrainStage(),
    SftStage(),
    EvalStage(),
)
