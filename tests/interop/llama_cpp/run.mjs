// What llama.cpp makes of a GGUF file. Reads a request as JSON from stdin, writes an answer as JSON to stdout.
// Request: {model, texts: [string], prompts: [[id]], steps}.
// Answer: {tokens: [[id]] of the texts, special tokens not looked for; logits: [[[float]]] after each token of each
// prompt, for all ids in order; greedy: [[id]] that follow each prompt; pieces: [string] of what follows, as text}.
import {createRequire} from "node:module";
import {pathToFileURL} from "node:url";
import path from "node:path";
import fs from "node:fs";

const packages = createRequire(path.join(process.cwd(), "package.json"));
const {getLlama, LlamaLogLevel} = await import(pathToFileURL(packages.resolve("node-llama-cpp")).href);

const request = JSON.parse(fs.readFileSync(0, "utf8"));
const llama = await getLlama({gpu: false, build: "never", logLevel: LlamaLogLevel.error, maxThreads: 2});
const model = await llama.loadModel({modelPath: request.model, useMmap: false});
const tokens = request.texts.map((text) => model.tokenize(text, false));

const logits = [];
const greedy = [];
const pieces = [];
for (const prompt of request.prompts) {
    const context = await model.createContext({
        contextSize: prompt.length + request.steps + 8,
        flashAttention: false,
        experimentalKvCacheKeyType: "F32",
        experimentalKvCacheValueType: "F32"
    });
    const sequence = context.getSequence();
    const results = await sequence.controlledEvaluate(
        prompt.map((token) => [token, {generateNext: {token: true, logits: true}}])
    );
    logits.push(results.map((result) => inOrder(result.next.logits)));
    const chosen = [results.at(-1).next.token];
    while (chosen.length < request.steps) {
        const [result] = await sequence.controlledEvaluate([[chosen.at(-1), {generateNext: {token: true}}]]);
        chosen.push(result.next.token);
    }
    greedy.push(chosen.slice(0, request.steps));
    pieces.push(model.detokenize(chosen.slice(0, request.steps), true));
    await context.dispose();
}
process.stdout.write(JSON.stringify({tokens, logits, greedy, pieces}), () => process.exit(0));

function inOrder(map) {
    const values = [];
    for (const [token, logit] of map) values[token] = logit;
    return values;
}
