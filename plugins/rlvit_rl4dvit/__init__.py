"""RL4DViT: every patch of a pretrained ViT is an agent that decides whether it stays."""
