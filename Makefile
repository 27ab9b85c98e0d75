# `make` lists what there is. Each target installs what it needs into .venv, from pins with hashes.

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -q
PACKAGES := protocol agent collector dashboards
# What is needed to measure and to collect; the dashboards have needs of their own (requirements/dashboards.in).
RUN_PACKAGES := protocol agent collector
RUN := .venv/.run-stamp
DEV := .venv/.dev-stamp
TEST_PROGRAMS := mosquitto:mosquitto mosquitto_passwd:mosquitto mosquitto_pub:mosquitto-clients faketime:faketime \
	dnsmasq:dnsmasq-base udhcpc:udhcpc nft:nftables ip:iproute2 chromium:chromium chromedriver:chromium-driver \
	debootstrap:debootstrap systemd-nspawn:systemd-container setfacl:acl \
	mpv:mpv vlc:vlc-bin vlc-plugins:vlc-plugin-base ffmpeg:ffmpeg nginx:nginx-light openssl:openssl \
	influxd:influxdb victoria-metrics:victoria-metrics initdb:postgresql

PIN := --quiet --generate-hashes --no-emit-index-url --no-header --universal --python-version 3.11

# Most tests wait for other programs: three at a time take less than half of the time, also on two cores. A file's tests stay
# together, since they share what they have started.
WORKERS ?= 3
SHARED := -n $(WORKERS) --dist loadfile

export PYTHON

.DEFAULT_GOAL := help
.PHONY: help demo test test-fast check bench lab lab-peers pictures deb bundle pins clean test-programs

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

demo: $(RUN) ## broker, collector and the agent of this machine, live in the terminal (ARGS="--lang en --seconds 60")
	@$(BIN)/python -m sitekeeper_collector.demo $(ARGS)

test: $(DEV) test-programs ## all tests (ARGS="-k name")
	$(BIN)/python -m pytest --timeout 900 $(SHARED) $(ARGS)

test-fast: $(DEV) ## the tests that take little time
	$(BIN)/python -m pytest --timeout 120 -m "not slow" $(SHARED) $(ARGS)

check: $(DEV) ## style, types and the arrows between packages
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy $(PACKAGES) tests benchmarks docs packaging
	$(BIN)/lint-imports

bench: $(DEV) test-programs ## every figure that the README claims
	@set -e; for file in $$(grep -l __main__ benchmarks/*.py); do echo "== $$file"; $(BIN)/python $$file $(ARGS); done

lab: $(DEV) test-programs ## all scenarios of a county of network namespaces, as root (ARGS="line_down")
	PYTHONPATH=tests $(BIN)/python -m lab $(ARGS)

lab-peers: $(DEV) test-programs ## those with a collector, watched by Prometheus and Alertmanager as well (ARGS="power_cut")
	@.ci/need prometheus:prometheus prometheus-alertmanager:prometheus-alertmanager \
		prometheus-blackbox-exporter:prometheus-blackbox-exporter prometheus-node-exporter:prometheus-node-exporter
	PYTHONPATH=tests $(BIN)/python -m lab --peers $(ARGS)

pictures: $(DEV) test-programs ## the pictures of README and docs, anew
	@.ci/need fc-list:fontconfig && .ci/need font-zh:fonts-wqy-microhei
	$(BIN)/python docs/make_pictures.py

deb: $(RUN) ## the agent's Debian package, in dist/ (ARGS="--architecture arm64")
	@.ci/need dpkg-deb:dpkg
	@$(BIN)/python packaging/debian/build_deb.py $(ARGS)

bundle: $(RUN) ## the agent's offline bundle for Windows, in dist/ (ARGS="--python python-3.11.9-embed-amd64.zip")
	@$(BIN)/python packaging/windows/build_bundle.py $(ARGS)

pins: ## pin requirements/*.in anew (needs uv)
	@command -v uv >/dev/null || { echo "MISSING: uv    Get it with:  pipx install uv" >&2; exit 1; }
	cd requirements && uv pip compile $(PIN) run.in -o run.txt && for name in agent dashboards dev; do \
		uv pip compile $(PIN) -c run.txt $$name.in -o $$name.txt; done

clean: ## take away what make has made (.venv, caches, var/)
	rm -rf .venv var build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find $(PACKAGES) tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

# --- what they need ---------------------------------------------------------------------------------------------------

test-programs:
	@SITEKEEPER_OPTIONAL=1 .ci/need $(TEST_PROGRAMS)

.venv/bin/python:
	@.ci/need venv:python3-venv
	$(PYTHON) -m venv .venv

$(RUN): .venv/bin/python requirements/run.txt $(RUN_PACKAGES:%=%/pyproject.toml)
	$(PIP) install --require-hashes -r requirements/run.txt
	$(PIP) install --no-deps --no-build-isolation $(RUN_PACKAGES:%=-e %)
	@touch $@

$(DEV): .venv/bin/python requirements/dev.txt $(PACKAGES:%=%/pyproject.toml)
	$(PIP) install --require-hashes -r requirements/dev.txt
	$(PIP) install --no-deps --no-build-isolation $(PACKAGES:%=-e %)
	@touch $@ $(RUN)
