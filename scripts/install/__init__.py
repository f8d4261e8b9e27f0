"""Makes what administrators install without OLM: the single manifest, the Helm chart, the overlays for kustomize."""
