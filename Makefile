# `make help` says what can be done here.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help build run tools test tidy interop bench week quality lint

help: ## this list
	@echo "Tierline: cargo run --release -- serve    starts the demo; README.md goes on from there."
	@echo
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 20

build: ## the program, optimized
	cargo build --release

run: ## the demo support center, with the log and passwords in ./data
	cargo run --release -- serve

tools: ## install what the tests need and check that it is there (Debian, as root or with sudo)
	@tests/install.sh

test: tools ## everything: tables, ladders, simulation with planted bugs, tidy, real phones; about ten minutes
	@tests/run.sh

tidy: ## only the rules of the house: imports, clocks, names, sizes
	cargo test --test tidy

interop: tools ## only the calls between real phones; ONLY=name for one
	cargo test --test interop -- --test-threads=6 $(ONLY)

bench: ## speed and memory against a bare kernel loop, one table; then the router alone, and reports, at size
	cargo bench --bench load
	cargo bench --bench acd
	cargo bench --bench records

week: ## a simulated week of 500 agents in the records, against what the simulator saw itself; forty minutes of one core
	cargo run --release -- simulate --seed 7 --agents 500 --hours 168 --crashes 0 --records

quality: tools ## how good speech still is over a clean and a bad wire: PESQ in a table, which it installs by pip
	@tests/quality.sh

lint: ## format and clippy
	cargo fmt --check
	cargo clippy --all-targets --test quality --all-features -- -D warnings
