# The controller: docker build -f manifests/images/controller.Dockerfile -t speech-autoscaler:0.1.0 .
# Built from the hashes of locks/controller.lock; no torch, no compiler, no package index in what runs.
FROM python:3.11-slim AS build
RUN python -m venv /opt/controller
COPY locks/controller.lock /src/locks/
RUN /opt/controller/bin/pip install --no-cache-dir --require-hashes -r /src/locks/controller.lock
COPY pyproject.toml README.md LICENSE /src/
COPY autoscaler /src/autoscaler
COPY simulations /src/simulations
COPY inference_server /src/inference_server
COPY policies /src/policies
RUN /opt/controller/bin/pip install --no-cache-dir --no-deps /src \
 && /opt/controller/bin/pip uninstall --yes pip \
 && /opt/controller/bin/python -m compileall -q /opt/controller/lib

FROM python:3.11-slim
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin speech
COPY --from=build /opt/controller /opt/controller
ENV PATH=/opt/controller/bin:$PATH PYTHONDONTWRITEBYTECODE=1
USER 10001
EXPOSE 8080
ENTRYPOINT ["autoscaler"]
CMD ["run", "--policies", "/etc/speech-autoscaler"]
