# Sourced by the other scripts: makes .venv with this package and the extras in $extras; a second call is instant.
installed=.venv/installed-$extras
want=$(sha256sum pyproject.toml)
if [ "$(cat "$installed" 2> /dev/null)" != "$want" ]; then
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { echo "Python 3.10 or later is needed" >&2; exit 1; }
    echo "Installing into .venv (PyTorch brings about 5 GB; a minute or two on a fast connection) ..."
    [ -x .venv/bin/python ] || python3 -m venv .venv
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --editable ".[$extras]"
    echo "$want" > "$installed"
fi
export PATH="$PWD/.venv/bin:$PATH"
