"""The adapter for VMware vSphere."""
