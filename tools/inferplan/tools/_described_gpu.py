"""What an answer says of a GPU that the caller describes."""

from inferplan.catalog.asked_gpus import gpu_of, is_described
from inferplan.catalog.gpus import GPUS
from inferplan.tools._assumptions import Ledger


def note_gpu(ledger: Ledger, id_: str) -> None:
    """List which GPU stands in for what a described one leaves out."""
    if is_described(id_):
        like = GPUS[gpu_of(id_).product]
        ledger.note("gpu", "described", why=f"what it does not say is that of {like.title}; no published run is on it")
