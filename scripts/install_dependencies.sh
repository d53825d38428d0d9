#!/usr/bin/env bash
# Installs those Debian 12 packages that are missing, as root or through sudo; says nothing where all are there.
#   scripts/install_dependencies.sh              what building and running the programs needs
#   scripts/install_dependencies.sh test         … and the tests, benchmarks and planted faults
#   scripts/install_dependencies.sh test format  … and the check of the code's format
#   scripts/install_dependencies.sh mpi          … and training in several processes, on one machine or many
#   scripts/install_dependencies.sh tidy         … what building and the search for faults by clang-tidy need
#   scripts/install_dependencies.sh fuzz         what building and running the fuzzers needs
set -euo pipefail

packages=(g++ cmake ninja-build libopenblas-dev libdnnl-dev libfmt-dev libcli11-dev nlohmann-json3-dev
          libutf8proc-dev zlib1g-dev)
for set in "$@"; do
  case $set in
    test) packages+=(libgtest-dev libgmock-dev libbenchmark-dev patch) ;;
    mpi) packages+=(libopenmpi-dev openmpi-bin) ;;
    format) packages+=(clang-format-14 git) ;;
    tidy) packages+=(clang-tidy-14 libomp-14-dev) ;;
    fuzz) packages+=(clang-14 libclang-rt-14-dev libomp-14-dev) ;;
    *) echo "install_dependencies: unknown set of packages '$set': there are test, mpi, format, tidy and fuzz" >&2; exit 2 ;;
  esac
done

platform=$(. /etc/os-release 2>/dev/null && echo "${ID:-unknown} ${VERSION_ID:-}" || uname -s)
if [[ $platform != "debian 12" ]]; then
  echo "install_dependencies: this is ${platform% }, not Debian 12: install these packages yourself: ${packages[*]}" >&2
  exit 0  # they may be there; if one isn't, configuring says which
fi

installed=$(dpkg-query --show --showformat '${db:Status-Status} ${Package}\n' "${packages[@]}" 2>/dev/null || true)
missing=()
for package in "${packages[@]}"; do
  grep --quiet --line-regexp --fixed-strings "installed $package" <<<"$installed" || missing+=("$package")
done
[[ ${#missing[@]} -gt 0 ]] || exit 0

as_root=(env)
if [[ $EUID -ne 0 ]]; then
  if ! command -v sudo >/dev/null; then
    echo "install_dependencies: run this as root, there is no sudo: apt-get install ${missing[*]}" >&2
    exit 1
  fi
  as_root=(sudo env)
fi
echo "install_dependencies: installing ${missing[*]} (a few minutes where much has to be downloaded)"
apt=("${as_root[@]}" DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300)
"${apt[@]}" update
"${apt[@]}" --yes --no-install-recommends install "${missing[@]}" >/dev/null
echo "install_dependencies: done"
