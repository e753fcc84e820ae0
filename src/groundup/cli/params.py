"""`groundup params`."""


def params(
    model: str | None = None,
    *,
    seq_len: int | None = None,
    vocab_size: int | None = None,
    dtype: str = "bf16",
    json: bool = False,
) -> dict:
    """Count a model's parameters, operations and memory, without making it.

    Parameters
    ----------
    model
        A preset, a recipe.toml, a preset of your own in TOML, or the folder of a run, of an imported model or of
        Hugging Face. Without one, all presets are listed.
    seq_len
        Tokens of the sequence in which a token is worked on; the longest of the model by default.
    vocab_size
        Tokens of the vocabulary, where it is to be another than the model's.
    dtype
        Type of the cache: bf16, fp16 or fp32.
    json
        Print the result as one line of JSON.
    """
    from rich.console import Console

    from groundup.pipeline.params import describe_model, describe_presets, find_model, render_model, render_presets

    if model is None:
        presets = describe_presets()
        if not json:
            Console().print(render_presets(presets))
        return {"presets": presets}
    described = describe_model(find_model(model, vocab_size), seq_len, dtype)
    if not json:
        Console().print(render_model(described))
    return described
