"""Emulators: a decoder of spectra, and an interpolator from parameters to its latent space.

    θ, angles ─▶ interpolator I ─▶ z ─▶ decoder D ─▶ [..., wavelength | band]

The decoder comes from a variational auto-encoder of spectra (vae.py), the interpolator is learned
with the decoder frozen, or both together (training.py).
Ben Azizi, Guilloteau, Roussel & Puigt 2024 (WHISPERS); arXiv 2603.21911.
"""
