"""Markov chain Monte Carlo: kernels, the densities that they leave as they are, and chains.

`target` says what a kernel needs to know of a density, `langevin` has the kernels (Langevin, MALA,
Hamiltonian Monte Carlo), `chain` runs them on one density, and `ncsn` chooses noise levels and
steps for annealed Langevin dynamics.
"""
