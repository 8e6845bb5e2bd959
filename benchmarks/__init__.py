"""Speed and accuracy of napari-sem4d: ``python -m benchmarks`` prints every figure that README and docs quote."""
