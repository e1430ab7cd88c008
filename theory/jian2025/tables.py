"""Tables 1, 2, 3 and 5: what the text says of the numbers, recomputed from the numbers as printed."""

from fractions import Fraction as F

from theory.claim import FALSE, PROVED
from theory.proof import Named
from theory.statement import ALL_CASES, claims_of

claim = claims_of("jian2025")


def results(name: str, **percent: str) -> Named:
    """Return the printed percentages of each method, as fractions."""
    return Named(name=name, **{method: F(value) for method, value in percent.items()})


QWEN = results("Qwen2.5-0.5B, GSM8K accuracy", base="36.3", sft="44.3", dpo="35.4", spo="49.3")
LLAMA = results("LLaMA-3.2-1B, GSM8K accuracy", base="5.1", sft="50.5", dpo="49.6", spo="54.4")
ANNOTATORS = (
    results("LLaMA-3.2-3B, UltraFeedback, annotator 1", sft="44.5", dpo="50.5", spo="55.3"),
    results("LLaMA-3.2-3B, UltraFeedback, annotator 2", sft="43.4", dpo="48.1", spo="51.0"),
)


@claim("table-1", "Section 4.2 on Table 1", PROVED)
def table_1(model):
    r"""\text{SPO}>\text{SFT}>\text{DPO}\ \text{on both models}

    Proof: Compare. Qwen's DPO is below its base model too (35.4 and 36.3); LLaMA's base model is at 5.1.
    """
    return model.spo > max(model.base, model.sft, model.dpo) and model.dpo < model.sft


table_1.evaluated([QWEN, LLAMA], meaning=ALL_CASES, wrong=lambda model: table_1(model) and model.dpo > model.base)


@claim("scaling", "Section 4.2, the text on Figure 3, read on Table 1", FALSE)
def scaling(models, against="sft"):
    r"""\text{SPO gains more on the larger of the two models}

    Because: Figure 3 has no printed numbers. In Table 1 the gain over SFT is 5.0 points on the smaller model and 3.9 on
    the larger, that over DPO 13.9 and 4.8.
    """
    smaller, larger = (model.spo - vars(model)[against] for model in models)
    return larger > smaller


scaling.false(at=(QWEN, LLAMA), true_at=(LLAMA, QWEN)).false(at=(QWEN, LLAMA), true_at=(LLAMA, QWEN), against="dpo")


@claim("table-5", "Appendix C.1 on Table 5", PROVED)
def table_5(annotator, least=0):
    r"""\text{SPO}>\text{DPO}>\text{SFT}\ \text{for both annotators}

    Proof: Compare: by 4.8 and 6.0 points, and by 2.9 and 4.7.
    """
    return annotator.spo - annotator.dpo > least and annotator.dpo - annotator.sft > least


table_5.evaluated(ANNOTATORS, meaning=ALL_CASES, wrong={"least": 3})


@claim("same-protocol", "Appendix C.1 against Table 2 and Table 3", FALSE)
def same_protocol(batches):
    r"""\text{Table 5 was obtained with the training protocol of the main results}

    Because: Table 3 halves every batch of Table 2 (SFT 8 and 4, DPO and SPO 4 and 2), at the same learning rates and
    numbers of epochs.
    """
    main, larger = batches
    return main == larger


same_protocol.false(at=((8, 4, 4), (4, 2, 2)), true_at=((8, 4, 4), (8, 4, 4)))
