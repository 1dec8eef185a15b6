"""Mixed precision where the device computes bfloat16 natively; emulated, it would be slower than float32."""

from __future__ import annotations

import torch


def native_bf16(device: torch.device) -> bool:
    """True if the device multiplies bfloat16 in hardware."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        found = torch.cpu.get_capabilities()
        return any(found.get(name, False) for name in ("amx_bf16", "avx512_bf16", "bf16"))
    return False


def autocast(device: torch.device, bf16: bool) -> torch.autocast:
    """Context in which matrix products and convolutions run in bfloat16, if wanted and native."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=bf16 and native_bf16(device))
