"""timm backbones: Vision Transformers whose blocks are walked one by one."""
