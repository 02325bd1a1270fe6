"""The road inside the model: for several layers, adapters and augmented inputs."""
