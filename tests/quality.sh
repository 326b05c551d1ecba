#!/usr/bin/env bash
# Prints what PESQ says of speech that went through the server. PESQ comes by pip and is compiled here, so it has a
# Python of its own, in target/.
set -euo pipefail
cd "$(dirname "$0")/.."

python=target/pesq/bin/python
if ! "$python" -c 'import pesq, numpy' 2>/dev/null; then
  if ! python3 -c 'import ensurepip, sysconfig, os; assert os.path.exists(sysconfig.get_path("include") + "/Python.h")' 2>/dev/null; then
    apt-get install -y -q --no-install-recommends python3 python3-venv python3-dev
  fi
  rm -rf target/pesq
  python3 -m venv target/pesq
  "$python" -m pip install -q numpy pesq==0.0.4
fi
PESQ_PYTHON="$PWD/$python" cargo test -q --test quality
