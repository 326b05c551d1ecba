#!/usr/bin/env bash
# Runs every test and ends with one line, `N passed, M failed`. Whatever does not run counts as failed.
set -uo pipefail
cd "$(dirname "$0")/.."

passed=0
failed=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# title, then the command: adds up the results of a step.
step() {
  echo
  echo "── $1 ──"
  shift
  local begun=$SECONDS code=0
  "$@" 2>&1 | tee "$log" || code=$?
  local sums
  sums=$(awk '/^test result:/ { n++; p += $4; f += $6; i += $8 } END { print n + 0, p + 0, f + 0, i + 0 }' "$log")
  read -r results p f i <<<"$sums"
  passed=$((passed + p))
  failed=$((failed + f + i))
  if [ "$i" != 0 ]; then echo "$i tests were skipped: they count as failed"; fi
  if [ "$results" = 0 ] || { [ "$code" != 0 ] && [ "$f" = 0 ]; }; then
    echo "this step did not come to its end (exit code $code): it counts as failed"
    failed=$((failed + 1))
  fi
  echo "── $p passed, $((f + i)) failed, $((SECONDS - begun)) s ──"
}

# Every file of tests/ but the one that opens ports.
others=()
for file in tests/*.rs; do
  name=$(basename "$file" .rs)
  [ "$name" = interop ] || others+=(--test "$name")
done

# Format and lints, told like one test.
neat() {
  local wrong=0
  cargo fmt --version || { echo "rustfmt is missing: rustup component add rustfmt"; wrong=1; }
  cargo clippy --version || { echo "clippy is missing: rustup component add clippy"; wrong=1; }
  if [ "$wrong" = 0 ]; then
    cargo fmt --check || wrong=1
    cargo clippy --all-targets --test quality --features planted-bugs -- -D warnings || wrong=1
  fi
  if [ "$wrong" = 0 ]; then
    echo "test result: ok. 1 passed; 0 failed; 0 ignored"
  else
    echo "test result: FAILED. 0 passed; 1 failed; 0 ignored"
  fi
  return "$wrong"
}

step "format and lints" neat
# The simulator's checks are worth what the bugs planted for them prove.
step "tables, ladders, simulation, tidy" \
  cargo test --no-fail-fast --features planted-bugs --lib --bins "${others[@]}"
# The program as it is, with real phones.
step "calls between real phones" cargo test --no-fail-fast --test interop -- --test-threads=6
# What nothing outside the program provokes.
step "alerts about what is planted in the program" \
  cargo test --no-fail-fast --features planted-bugs --test interop -- planted::

echo
echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
