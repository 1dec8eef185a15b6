"""Find the bones: U-Net with stochastic experts trained by optimal transport."""
