"""Starting things: the environment, JupyterLab on a copy of the notebooks, and the doctor."""
