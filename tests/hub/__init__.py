"""A small Hugging Face Hub on loopback, for tests; nothing inside the client is patched.

::

    with HubServer() as hub:
        hub.add_repo("alice/sudoku", {"config.json": b"{}"}, tags=["v1"])
        subprocess.run([...], env=hub.environment(tmp_path, "hf_alice"))
        assert hub.repos["alice/sudoku"].files("v1")["config.json"] == b"{}"

Users and tokens: ``hf_alice`` and ``hf_bob`` write as alice and bob, ``hf_read`` reads as alice.

How to point the client at it: ``HF_ENDPOINT``, ``HF_HOME``, ``HF_HUB_OFFLINE``,
``HF_HUB_DISABLE_XET`` and the like are read once, when ``huggingface_hub`` is first imported, so
code that passes no endpoint has to run in its own process with :meth:`HubServer.environment`. In
a process that has imported it, only what takes ``endpoint=`` reaches this Hub: ``HfApi``,
``hf_hub_download``, ``snapshot_download``, ``hf_hub_url``, ``get_hf_file_metadata`` and
``HfFileSystem``; ``create_repo``, ``upload_folder`` and the other functions of the package belong
to an ``HfApi`` that was made with the endpoint of the import. Even then the client asks the
endpoint of the import for its list of agents, unless ``HF_HUB_DISABLE_TELEMETRY`` is set.

Xet: with ``hf_xet`` installed, the client sends every large file by Xet and has no way back to
git LFS when the Hub knows no Xet: ``ConnectionError`` from the token route. Tests switch it off
with ``HF_HUB_DISABLE_XET=1``, which :meth:`HubServer.environment` does; ``upload_folder`` then
makes one commit. Downloads are by plain HTTP in any case, as no answer speaks of Xet.

A dataset ``a/b`` is the repository ``datasets/a/b``; it can be downloaded from.

A Space ``a/b`` is the repository ``spaces/a/b``; it is one of static files.

What it does not speak: pull requests, pages of long lists, uploads in
parts, deletion of repositories and references, ``.gitignore`` rules, gated repositories.

The storage of large files listens on a second port, as on the real Hub it is another host: the
client may not send it the token, and :attr:`HubServer.leaks` tells if it does.
"""

from tests.hub.server import HubServer

__all__ = ["HubServer"]
