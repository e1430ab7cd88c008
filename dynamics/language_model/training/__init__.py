"""Training of a language model with every response tracked: Stable PO with LoRA adapters."""
