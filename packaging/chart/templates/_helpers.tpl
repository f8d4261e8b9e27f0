{{- /* On every object of the chart. */ -}}
{{- define "metallb-operator.labels" -}}
app.kubernetes.io/part-of: metallb
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- /* What the operator is told of the values. */ -}}
{{- define "metallb-operator.environment" -}}
- name: METRICS_PORT
  value: {{ .Values.ports.metrics | quote }}
- name: MEMBER_LIST_BIND_PORT
  value: {{ .Values.ports.memberlist | quote }}
- name: OPERAND_LIVENESS_PORT
  value: {{ .Values.ports.liveness | quote }}
{{- if eq .Values.monitoring "serviceMonitors" }}
- name: DEPLOY_SERVICEMONITORS
  value: "true"
{{- end }}
{{- if eq .Values.monitoring "podMonitors" }}
- name: DEPLOY_PODMONITORS
  value: "true"
{{- end }}
{{- if not .Values.networkPolicies.enabled }}
- name: DISABLE_NETWORK_POLICIES
  value: "true"
{{- end }}
{{- with .Values.networkPolicies.apiServerPort }}
- name: API_SERVER_PORT
  value: {{ . | quote }}
{{- end }}
{{- with .Values.tls.minVersion }}
- name: TLS_MIN_VERSION
  value: {{ . }}
{{- end }}
{{- with .Values.tls.cipherSuites }}
- name: TLS_CIPHER_SUITES
  value: {{ join "," . | quote }}
{{- end }}
{{- with .Values.tls.curvePreferences }}
- name: TLS_CURVE_PREFERENCES
  value: {{ join "," . | quote }}
{{- end }}
{{- with .Values.operator.env }}
{{ toYaml . }}
{{- end }}
{{- end -}}
