#!/usr/bin/env bash
# Installs what some tests need of the operating system (system_packages.txt) where it can: root, and apt-get.
# It never fails: what is missing is said, and the tests that need it skip with the reason.
set -uo pipefail
cd "$(dirname "$0")"

missing() {
  while read -r package; do
    dpkg-query --show --showformat '${db:Status-Status}\n' "$package" 2> /dev/null | grep --quiet '^installed$' || echo "$package"
  done < system_packages.txt
}

wanted=$(missing)
[ -n "$wanted" ] || exit 0
if ! command -v apt-get > /dev/null; then
  why="there is no apt-get"
elif [ "$(id --user)" != 0 ]; then
  why="that takes root: apt-get install ${wanted//$'\n'/ }"
else
  export DEBIAN_FRONTEND=noninteractive
  install() { timeout 300 apt-get install --yes --quiet --no-install-recommends $wanted > /dev/null 2>&1; }
  install || { timeout 120 apt-get update --quiet > /dev/null 2>&1 && install; }
  wanted=$(missing)
  why="apt-get could not install them"
fi
[ -n "$wanted" ] || exit 0
echo "Not installed, since $why:"
for package in $wanted; do
  case $package in
    chromium) echo "  $package: tests that look at pages in a browser skip" ;;
    *) echo "  $package: tests on a SLURM cluster skip" ;;
  esac
done
