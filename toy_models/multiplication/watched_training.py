"""Train the shipped model with TRL's DPOTrainer, and watch 32 of the pairs; no argument is needed."""

from pathlib import Path

from dynamics.language_model import DynamicsCallback
from toy_models.multiplication.shipped import load_checkpoint


def main(folder: Path = Path("out/watched-training")) -> DynamicsCallback:
    """Train for 100 steps with TRL's settings, but for a larger learning rate, and say what became of the pairs."""
    from datasets import Dataset  # type: ignore[import-untyped]  # noqa: PLC0415 - of the optional extras lm and trl
    from trl import DPOConfig, DPOTrainer  # type: ignore[attr-defined]  # noqa: PLC0415

    model, tokenizer = load_checkpoint()
    products = [(f"{a} x {b}", a * b, a * b + a) for a in range(2, 13) for b in range(2, 13)]
    rows = [{"prompt": f"{p} = ?\n", "chosen": f"{p} = {yes}", "rejected": f"{p} = {no}"} for p, yes, no in products]
    arguments = DPOConfig(output_dir=str(folder), max_steps=100, learning_rate=1e-5, use_cpu=True, report_to=[])
    data = Dataset.from_list(rows)
    trainer = DPOTrainer(model=model, args=arguments, train_dataset=data, processing_class=tokenizer)
    watch = DynamicsCallback(trainer, every=20)
    trainer.add_callback(watch)
    trainer.train()
    print(watch.table(most=10), f"The picture: {watch.page}", sep="\n")
    return watch


if __name__ == "__main__":
    main()
