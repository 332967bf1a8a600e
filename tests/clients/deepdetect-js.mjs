// Drives a running server with deepdetect-js: info, create, train, status, predict, delete.
//   node deepdetect-js.mjs URL DATA_DIRECTORY WORK_DIRECTORY
// The two directories are read and written by the server, so it must run on this machine. Ends with exit status 1 at the
// first answer that differs from what the client's users rely on.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import deepdetect from 'deepdetect-js';

const [url, data, work] = process.argv.slice(2);
if (!work) {
  console.error('usage: node deepdetect-js.mjs URL DATA_DIRECTORY WORK_DIRECTORY');
  process.exit(2);
}
const { hostname, port } = new URL(url);
const client = new deepdetect.default({ host: hostname, port: Number(port), fetchTimeout: 60_000 });
const service = 'js-iris';
const repository = path.join(work, service);
const file = (name) => path.join(data, name);

const training = {
  input: { label: 'target', id: 'id', separator: ',', shuffle: true, seed: 1, test_split: 0.2, scale: true },
  mllib: {
    gpu: false,
    solver: { iterations: 300, test_interval: 100, base_lr: 0.01, solver_type: 'ADAM' },
    net: { batch_size: 30 },
  },
  output: { measure: ['acc', 'mcll', 'f1', 'cmdiag'] },
};

/** The status object of an answer that the client turned into an Error: its message is the body. */
function refusal(error) {
  assert.ok(error instanceof Error, `expected an error, found ${JSON.stringify(error)}`);
  return JSON.parse(error.message).status;
}

const steps = {
  async info() {
    const info = await client.info();
    assert.deepEqual(info.status, { code: 200, msg: 'OK' });
    assert.equal(info.head.method, '/info');
    assert.equal(typeof info.head.version, 'string');
    assert.equal(typeof info.head.commit, 'string');
    assert.deepEqual(info.head.services, []);
  },

  async 'an unknown service is refused'() {
    const status = refusal(await client.getService(service).catch((error) => error));
    assert.deepEqual([status.code, status.msg, status.dd_code], [404, 'NotFound', 1002]);
  },

  async create() {
    fs.mkdirSync(repository);
    const body = {
      mllib: 'caffe',
      description: 'iris from JavaScript',
      type: 'supervised',
      parameters: {
        input: { connector: 'csv' },
        mllib: { template: 'mlp', nclasses: 3, layers: [16, 16], activation: 'relu' },
      },
      model: { repository },
    };
    assert.deepEqual(await client.putService(service, body), { status: { code: 201, msg: 'Created' } });
    const again = refusal(await client.putService(service, body).catch((error) => error));
    assert.deepEqual([again.code, again.dd_code], [409, 1014]);
  },

  async 'the service is listed'() {
    const info = await client.info({ status: true });
    assert.deepEqual(info.head.services.map((known) => known.name), [service]);
    const { status, body } = await client.getService(service);
    assert.equal(status.code, 200);
    assert.deepEqual([body.name, body.mllib, body.description], [service, 'caffe', 'iris from JavaScript']);
    assert.equal(body.parameters.input.connector, 'csv');
  },

  async train() {
    const answer = await client.postTrain(service, [file('iris.csv')], training);
    assert.deepEqual(answer.status, { code: 201, msg: 'Created' });
    assert.deepEqual([answer.head.method, answer.head.job, answer.head.status], ['/train', 1, 'running']);
  },

  async 'status until finished'() {
    let answer;
    for (let polls = 0; polls < 60 && answer?.head?.status !== 'finished'; polls += 1) {
      answer = await client.getTrain(service, 1, 1, true);
      assert.deepEqual(answer.status, { code: 200, msg: 'OK' });
      assert.ok(['running', 'finished'].includes(answer.head.status), JSON.stringify(answer));
    }
    assert.equal(answer.head.status, 'finished');
    const { measure, measure_hist: history } = answer.body;
    assert.ok(measure.acc > 0.8, `accuracy on iris ${measure.acc}`);
    for (const name of ['mcll', 'f1', 'iteration', 'train_loss']) {
      assert.equal(typeof measure[name], 'number', name);
    }
    assert.equal(measure.cmdiag.length, 3);
    assert.ok(history.train_loss_hist.length > 0 && history.acc_hist.length > 0);
  },

  async 'predict rows'() {
    const answer = await client.postPredict({
      service,
      parameters: { input: { id: 'id' }, mllib: {}, output: { best: 3 } },
      data: ['id,sl,sw,pl,pw', '901,5.1,3.5,1.4,0.2', '902,6.3,3.3,6.0,2.5'],
    });
    assert.deepEqual(answer.status, { code: 200, msg: 'OK' });
    assert.deepEqual([answer.head.method, answer.head.service], ['/predict', service]);
    const { predictions } = answer.body;
    assert.deepEqual(predictions.map(({ uri, classes }) => [uri, classes[0].cat]), [['901', '0'], ['902', '2']]);
    for (const { classes } of predictions) {
      assert.equal(classes.length, 3);
      const sum = classes.reduce((total, { prob }) => total + prob, 0);
      assert.ok(Math.abs(sum - 1) < 1e-4, `probabilities sum to ${sum}`);
      assert.ok(classes[0].prob >= classes[1].prob && classes[1].prob >= classes[2].prob);
    }
  },

  async 'predict a file, and measure'() {
    const parameters = { input: { id: 'id' }, mllib: {}, output: {} };
    const answer = await client.postPredict({ service, parameters, data: [file('iris_nolabel.csv')] });
    assert.deepEqual(answer.body.predictions.map(({ uri }) => uri), ['121', '122', '123', '124', '125']);
    const measured = await client.postPredict({
      service,
      parameters: { input: { id: 'id', label: 'target' }, mllib: {}, output: { measure: ['acc', 'f1'] } },
      data: [file('iris_test.csv')],
    });
    assert.ok(measured.body.measure.acc > 0.8, JSON.stringify(measured));
  },

  async 'bad requests are refused'() {
    const empty = refusal(await client.postPredict({ service, parameters: {}, data: [] }));
    assert.deepEqual([empty.code, empty.dd_code], [400, 1005]);
    const unknown = refusal(await client.getTrain(service, 99).catch((error) => error));
    assert.deepEqual([unknown.code, unknown.dd_code], [404, 1003]);
  },

  async 'cancel a training'() {
    const long = structuredClone(training);
    long.mllib.solver.iterations = 10_000_000;
    const { head } = await client.postTrain(service, [file('iris.csv')], long);
    assert.deepEqual([head.job, head.status], [2, 'running']);
    const cancelled = await client.deleteTrain(service, 2);
    assert.deepEqual([cancelled.status.code, cancelled.head.method, cancelled.head.job], [200, '/train', 2]);
    assert.equal(cancelled.head.status, 'terminated');
  },

  async delete() {
    // The client sends `clear` (by default "lib") as the body of DELETE, where the original never looked: files stay.
    const files = fs.readdirSync(repository);
    const answer = await client.deleteService(service);
    assert.deepEqual(answer.status, { code: 200, msg: 'OK' });
    assert.deepEqual((await client.info()).head.services, []);
    const gone = refusal(await client.postPredict({ service, parameters: {}, data: ['1,2,3,4'] }));
    assert.deepEqual([gone.code, gone.dd_code], [404, 1002]);
    assert.deepEqual(fs.readdirSync(repository), files);
  },
};

for (const [name, step] of Object.entries(steps)) {
  try {
    await step();
    console.log(`ok      ${name}`);
  } catch (error) {
    console.log(`FAILED  ${name}`);
    console.error(error);
    process.exit(1);
  }
}
