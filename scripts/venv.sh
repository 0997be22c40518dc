# Sourced by the other scripts: makes .venv with this package and the extras in $extras; a second call is instant.
installed=.venv/installed-$extras
if ! cmp -s pyproject.toml "$installed"; then
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { echo "Python 3.10 or later is needed" >&2; exit 1; }
    echo "Installing into .venv (PyTorch brings about 5 GB; a minute or two on a fast connection) ..."
    # Not .venv/bin/python: where the system keeps ensurepip in a package of its own, that is there before venv fails.
    [ -x .venv/bin/pip ] || python3 -m venv .venv
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --editable ".[$extras]"
    cp pyproject.toml "$installed"
fi
export PATH="$PWD/.venv/bin:$PATH"
