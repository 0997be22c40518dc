"""One thread for every test here: tiny tensors gain nothing from two, and other programs want the second core."""

from __future__ import annotations

import pytest
import torch


@pytest.fixture(scope="package", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)
