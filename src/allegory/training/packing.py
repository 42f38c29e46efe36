"""Tensors as the bytes of a safetensors file."""

import json
from collections.abc import Mapping

from torch import Tensor


def packed(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> bytes:
    """The content of a safetensors file, the same for the same tensors and words.

    safetensors itself writes several words in an order of chance.

    Args:
        tensors: by name. Tied weights overlap in memory, which the format forbids, and a view may
            have gaps, so they are copied.
        metadata: words by name that the file holds beside them.
    """
    from safetensors.torch import save

    plain = {name: value.detach().cpu().clone().contiguous() for name, value in tensors.items()}
    content = save(plain)
    if not metadata:
        return content

    end = 8 + int.from_bytes(content[:8], "little")
    header = {"__metadata__": dict(sorted(metadata.items()))} | json.loads(content[8:end])
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + content[end:]
