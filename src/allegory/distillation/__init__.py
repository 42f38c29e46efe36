"""Distillation: a model that needs few evaluations per sample, from one that needs many."""
