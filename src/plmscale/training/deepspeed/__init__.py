"""DeepSpeed's checkpoints: saved, loaded without trusting a pickle, and taken over by a run of other ranks."""
