"""DiffewS (Zhu et al., NeurIPS 2024): few-shot segmentation with a diffusion model's UNet."""
