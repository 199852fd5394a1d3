<?php

/* A small Symfony application on Debian's packages: a front controller, and in worker mode a worker script. */

use Symfony\Bundle\FrameworkBundle\FrameworkBundle;
use Symfony\Bundle\FrameworkBundle\Kernel\MicroKernelTrait;
use Symfony\Bundle\TwigBundle\TwigBundle;
use Symfony\Component\DependencyInjection\Loader\Configurator\ContainerConfigurator;
use Symfony\Component\HttpFoundation\JsonResponse;
use Symfony\Component\HttpFoundation\Request;
use Symfony\Component\HttpFoundation\Response;
use Symfony\Component\HttpKernel\Kernel;
use Symfony\Component\Routing\Loader\Configurator\RoutingConfigurator;

require_once '/usr/share/php/Symfony/Bundle/FrameworkBundle/autoload.php';
require_once '/usr/share/php/Symfony/Bundle/TwigBundle/autoload.php';

class Enclosure extends Kernel
{
    use MicroKernelTrait;

    public function registerBundles(): iterable
    {
        return [new FrameworkBundle(), new TwigBundle()];
    }

    public function getProjectDir(): string
    {
        return __DIR__;
    }

    public function getCacheDir(): string
    {
        return getenv('BENCH_CACHE');
    }

    public function getLogDir(): string
    {
        return getenv('BENCH_CACHE');
    }

    protected function configureContainer(ContainerConfigurator $container): void
    {
        $container->extension('framework', [
            'secret' => 'of a benchmark',
            'http_method_override' => false,
            'router' => ['utf8' => true],
            'php_errors' => ['log' => false],
        ]);
        $container->extension('twig', ['default_path' => __DIR__.'/templates']);
        $container->services()->alias('page', 'twig')->public();
    }

    protected function configureRoutes(RoutingConfigurator $routes): void
    {
        $routes->add('hello', '/hello/{name}')->controller([$this, 'hello']);
        $routes->add('list', '/list/{count<\d+>}')->controller([$this, 'items']);
        $routes->add('json', '/api/items')->controller([$this, 'json']);
    }

    public function hello(string $name): Response
    {
        return new Response("Hello, $name\n", 200, ['Content-Type' => 'text/plain']);
    }

    public function items(int $count): Response
    {
        return new Response($this->getContainer()->get('page')->render('list.html.twig', ['rows' => $this->rows($count)]));
    }

    public function json(Request $request): Response
    {
        return new JsonResponse(['items' => $this->rows(20), 'q' => $request->query->get('q')]);
    }

    private function rows(int $count): array
    {
        return array_map(fn ($id) => ['id' => $id, 'name' => "Item <$id>", 'price' => $id * 1.25, 'tags' => ['a', 'b', "t$id"]], range(1, $count));
    }
}

function answer(Kernel $kernel): array
{
    $request = Request::createFromGlobals();
    // So that answers can be compared.
    $response = $kernel->handle($request)->setDate(new DateTime('@0'));
    $response->send();

    return [$request, $response];
}

$kernel = new Enclosure('prod', false);
if (!isset($_SERVER['FRANKENPHP_WORKER'])) {
    $kernel->terminate(...answer($kernel));

    return;
}
$kernel->boot();
$handler = static function () use ($kernel, &$handled) {
    $handled = answer($kernel);
};
while (frankenphp_handle_request($handler)) {
    $kernel->terminate(...$handled);
}
