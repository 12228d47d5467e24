"""AgentViT: a Q-network chooses the patches while the ViT trains."""
