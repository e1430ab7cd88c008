"""Training of a language model: differentiable log-probabilities, LoRA adapters, and Stable PO (jian2025)."""
