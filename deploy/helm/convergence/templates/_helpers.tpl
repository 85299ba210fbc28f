{{/* Names and labels. */}}
{{- define "convergence.fullname" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}{{ else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" }}{{ end -}}
{{- end }}

{{- define "convergence.selector" -}}
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "convergence.labels" -}}
{{ include "convergence.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end }}

{{- define "convergence.image" -}}
{{ required "set image.repository: the image of `docker build --target production .`" .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{/* Ports of the services, as their settings have them. */}}
{{- define "convergence.port" -}}
{{- get (dict "auth" "50051" "credentials" "50052" "scheduler" "50053" "executor" "50054") . -}}
{{- end }}

{{/* How many replicas there can be at most. */}}
{{- define "convergence.mostReplicas" -}}
{{- $service := get .root.Values.services .name -}}
{{- $most := ternary (int .root.Values.autoscaling.maxReplicas) (int $service.replicas) (and .root.Values.autoscaling.enabled (eq .name "executor")) -}}
{{- if gt $most 5 }}{{ fail (printf "%s: at most 5 replicas: BigQuery takes 25 changes of a table in ten seconds, and a replica needs 5 of them" .name) }}{{ end -}}
{{- $most -}}
{{- end }}

{{/* Environment of every process that talks to Google: of services, bootstrap and re-encrypt job. */}}
{{- define "convergence.googleEnv" -}}
GOOGLE_CLOUD_PROJECT: {{ required "set project: the platform's project" .Values.project | quote }}
CONVERGENCE_LOCATION: {{ .Values.location | quote }}
CONVERGENCE_CONTROL_DATASET: {{ .Values.controlDataset | quote }}
CONVERGENCE_KMS_KEY: {{ required "set kms.key: the full name of the key that seals credentials" .Values.kms.key | quote }}
{{- with .Values.tenantLocations }}
CONVERGENCE_TENANT_LOCATIONS: {{ toJson . | quote }}
{{- end }}
{{- with .Values.tenantProject }}
CONVERGENCE_TENANT_PROJECT: {{ . | quote }}
{{- end }}
{{- end }}

{{/* A map as a container's env, sorted. Expects a dict of strings. */}}
{{- define "convergence.env" -}}
{{- range $name, $value := . }}
- name: {{ $name }}
  value: {{ $value | toString | quote }}
{{- end }}
{{- end }}

{{- define "convergence.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "convergence.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{- define "convergence.placement" -}}
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: topology.kubernetes.io/zone
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: {{- include "convergence.selector" . | nindent 8 }}
{{- end }}

{{/* A Secret of type kubernetes.io/tls under the file names that the process reads. */}}
{{- define "convergence.tlsSecret" -}}
secretName: {{ .full }}-{{ .name }}-tls
defaultMode: 0440
items:
  - {key: ca.crt, path: ca.pem}
  - {key: tls.crt, path: {{ .name }}.pem}
  - {key: tls.key, path: {{ .name }}.key}
{{- end }}
