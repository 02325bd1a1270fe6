"""A fine-tuned model in other forms: ONNX, a torch program, a scikit-learn pipeline."""
