# The inference server: docker build -f manifests/images/inference.Dockerfile -t speech-inference:0.1.0 .
# On machines without a GPU: --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cpu makes it some GB smaller.
# Models are mounted (/models), never part of the image.
FROM python:3.11-slim AS build
ARG TORCH=torch==2.13.0
ARG TORCH_INDEX=
RUN python -m venv /opt/inference
RUN /opt/inference/bin/pip install --no-cache-dir ${TORCH} ${TORCH_INDEX:+--index-url ${TORCH_INDEX}}
COPY locks/inference.lock /src/locks/
RUN /opt/inference/bin/pip install --no-cache-dir --require-hashes -r /src/locks/inference.lock
COPY pyproject.toml README.md LICENSE /src/
COPY autoscaler /src/autoscaler
COPY simulations /src/simulations
COPY inference_server /src/inference_server
COPY policies /src/policies
RUN /opt/inference/bin/pip install --no-cache-dir --no-deps /src \
 && /opt/inference/bin/pip uninstall --yes pip \
 && /opt/inference/bin/python -m compileall -q /opt/inference/lib

FROM python:3.11-slim
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin speech
COPY --from=build /opt/inference /opt/inference
ENV PATH=/opt/inference/bin:$PATH PYTHONDONTWRITEBYTECODE=1 HOME=/tmp
USER 10001
EXPOSE 8000
ENTRYPOINT ["inference-server"]
CMD ["serve", "--host", "0.0.0.0", "--port", "8000"]
