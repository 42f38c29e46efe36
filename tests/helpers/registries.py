"""Registries that forget what a test adds."""


def forget_additions(monkeypatch, *registries):
    """From here to the end of the test, what is registered is registered in copies."""
    for registry in registries:
        entries = {name: registry.entry(name) for name in registry}
        monkeypatch.setattr(registry, "_registered", entries)
