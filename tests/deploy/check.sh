#!/usr/bin/env bash
# Renders the chart for each set of values in its ci/, and lets Helm, Kubernetes' own schemas and checkov judge it; compares the Terraform
# files with the provider's keys; lets hadolint and checkov judge the Dockerfile. Run by `make check-deploy`, which has fetched Helm and made
# the environment of Python's packages.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
work=$root/.cache/deploy
chart=$root/deploy/helm/convergence
helm=$work/helm/helm

rm -rf "$work/rendered"
mkdir -p "$work/rendered"
for values in "$chart"/ci/*.yaml; do
  name=$(basename "$values" .yaml)
  echo "helm, $name"
  "$helm" lint "$chart" --strict --quiet --values "$values"
  "$helm" template convergence "$chart" --namespace cost --values "$values" >"$work/rendered/$name.yaml"
done
echo "kubernetes-validate"
"$work/venv/bin/python" "$here/validate.py" "$work"/rendered/*.yaml
echo "checkov"
"$work/venv/bin/checkov" --config-file "$here/checkov.yaml" --directory "$work/rendered" --framework kubernetes
echo "terraform"
"$work/venv/bin/python" "$here/terraform.py" "$root/deploy/terraform"
"$work/venv/bin/checkov" --config-file "$here/checkov.yaml" --directory "$root/deploy/terraform" --framework terraform
echo "Dockerfile"
"$work/venv/bin/hadolint" --failure-threshold info "$root/Dockerfile"
"$work/venv/bin/checkov" --config-file "$here/checkov.yaml" --file "$root/Dockerfile" --framework dockerfile
