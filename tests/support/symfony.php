<?php
// A small Symfony application in one file: what a front controller of a site does in all its ways.

use Symfony\Bundle\FrameworkBundle\FrameworkBundle;
use Symfony\Bundle\FrameworkBundle\Kernel\MicroKernelTrait;
use Symfony\Component\DependencyInjection\Loader\Configurator\ContainerConfigurator;
use Symfony\Component\EventDispatcher\EventSubscriberInterface;
use Symfony\Component\HttpFoundation\BinaryFileResponse;
use Symfony\Component\HttpFoundation\Cookie;
use Symfony\Component\HttpFoundation\JsonResponse;
use Symfony\Component\HttpFoundation\RedirectResponse;
use Symfony\Component\HttpFoundation\Request;
use Symfony\Component\HttpFoundation\Response;
use Symfony\Component\HttpFoundation\ResponseHeaderBag;
use Symfony\Component\HttpFoundation\StreamedResponse;
use Symfony\Component\HttpKernel\Event\TerminateEvent;
use Symfony\Component\HttpKernel\Exception\HttpException;
use Symfony\Component\HttpKernel\Exception\NotFoundHttpException;
use Symfony\Component\HttpKernel\Kernel;
use Symfony\Component\HttpKernel\KernelEvents;
use Symfony\Component\Routing\Generator\UrlGeneratorInterface;
use Symfony\Component\Routing\Loader\Configurator\RoutingConfigurator;

require_once '/usr/share/php/Symfony/Bundle/FrameworkBundle/autoload.php';

class Enclosure extends Kernel implements EventSubscriberInterface
{
    use MicroKernelTrait;

    public function registerBundles(): iterable
    {
        return [new FrameworkBundle()];
    }

    public function getProjectDir(): string
    {
        return dirname(__DIR__);
    }

    public static function getSubscribedEvents(): array
    {
        return [KernelEvents::TERMINATE => 'note'];
    }

    // Runs after the client has its answer: Symfony calls fastcgi_finish_request() before.
    public function note(TerminateEvent $event): void
    {
        if ($name = $event->getRequest()->query->get('note')) {
            file_put_contents($this->noted($name), $event->getRequest()->getPathInfo());
        }
    }

    protected function configureContainer(ContainerConfigurator $container): void
    {
        $container->extension('framework', [
            'secret' => 'the secret of a test',
            'http_method_override' => true,
            'session' => ['handler_id' => null, 'cookie_samesite' => 'lax', 'storage_factory_id' => 'session.storage.factory.native'],
            'router' => ['utf8' => true],
            'php_errors' => ['log' => true],
        ]);
    }

    protected function configureRoutes(RoutingConfigurator $routes): void
    {
        $routes->add('page', '/')->controller([$this, 'page']);
        $routes->add('animal', '/animals/{name}.{_format}')->controller([$this, 'animal'])->defaults(['_format' => 'json']);
        $routes->add('form', '/form')->controller([$this, 'form'])->methods(['GET']);
        $routes->add('save', '/form')->controller([$this, 'save'])->methods(['POST']);
        $routes->add('change', '/form')->controller([$this, 'change'])->methods(['PUT', 'DELETE']);
        $routes->add('upload', '/upload')->controller([$this, 'upload'])->methods(['POST']);
        $routes->add('request', '/request/{rest<.*>}')->controller([$this, 'request']);
        $routes->add('old', '/old')->controller([$this, 'old']);
        $routes->add('fail', '/fail/{code<\d+>}')->controller([$this, 'fail']);
        $routes->add('crash', '/crash')->controller([$this, 'crash']);
        $routes->add('stream', '/stream')->controller([$this, 'stream']);
        $routes->add('download', '/download')->controller([$this, 'download']);
        $routes->add('cached', '/cached')->controller([$this, 'cached']);
        $routes->add('noted', '/noted/{name}')->controller([$this, 'readNote']);
    }

    public function page(UrlGeneratorInterface $urls): Response
    {
        $links = '';
        foreach (['form', 'old', 'stream'] as $name) {
            $links .= sprintf('<a href="%s">%s</a>', $urls->generate($name, [], UrlGeneratorInterface::ABSOLUTE_URL), $name);
        }
        $response = new Response("<html><title>Kraal</title>$links äöü</html>");
        $response->headers->setCookie(Cookie::create('seen', 'a b', 0, '/', null, false, true, false, 'strict'));
        $response->headers->set('X-Two', ['1', '2']);

        return $response;
    }

    public function animal(Request $request, string $name): Response
    {
        return new JsonResponse(['name' => $name, 'query' => $request->query->all(), 'format' => $request->getRequestFormat()]);
    }

    public function form(Request $request): Response
    {
        $session = $request->getSession();
        $said = implode(' ', $session->getFlashBag()->get('said'));
        $count = $session->set('count', $session->get('count', 0) + 1) ?? $session->get('count');

        return new Response("<p>$said</p><p>$count</p><form method=post><input name=name></form>");
    }

    public function save(Request $request, UrlGeneratorInterface $urls): Response
    {
        $request->getSession()->getFlashBag()->add('said', 'Hello, '.htmlspecialchars($request->request->get('name', 'nobody')));

        return new RedirectResponse($urls->generate('form'), 303);
    }

    public function change(Request $request): Response
    {
        return new Response($request->getMethod().' '.$request->getContent());
    }

    public function upload(Request $request): Response
    {
        $file = $request->files->get('file');

        return new JsonResponse([$file->getClientOriginalName(), $file->getSize(), $file->isValid(), md5($file->getContent()), $request->request->all()]);
    }

    public function request(Request $request, string $rest): Response
    {
        return new JsonResponse([
            'rest' => $rest, 'uri' => $request->getUri(), 'base' => $request->getBaseUrl(), 'path' => $request->getPathInfo(),
            'script' => $request->getScriptName(), 'user' => [$request->getUser(), $request->getPassword()],
            'method' => $request->getMethod(), 'languages' => $request->getLanguages(), 'secure' => $request->isSecure(),
            'content' => $request->getContent(), 'type' => $request->getContentType(), 'headers' => array_keys($request->headers->all()),
        ]);
    }

    public function old(): Response
    {
        return new RedirectResponse('/', 301);
    }

    public function fail(int $code): Response
    {
        throw 404 === $code ? new NotFoundHttpException('Not in this enclosure') : new HttpException($code, 'So be it', null, ['X-Why' => 'asked']);
    }

    public function crash(): Response
    {
        throw new LogicException('The gate is broken');
    }

    public function stream(): Response
    {
        return new StreamedResponse(function () {
            foreach (range(1, 5) as $number) {
                echo str_repeat("$number", 1000), "\n";
                flush();
            }
        }, 200, ['Content-Type' => 'text/plain', 'X-Accel-Buffering' => 'no']);
    }

    public function download(Request $request): Response
    {
        $response = new BinaryFileResponse($this->getProjectDir().'/gate.bin', 200, ['Content-Type' => 'application/octet-stream']);
        $response->setContentDisposition(ResponseHeaderBag::DISPOSITION_ATTACHMENT, 'gäte.bin', 'gate.bin');
        $response->setAutoEtag();
        $response->isNotModified($request);

        return $response;
    }

    public function cached(Request $request): Response
    {
        $response = new Response('worth keeping');
        $response->setEtag('gate')->setPublic()->setMaxAge(60);
        $response->isNotModified($request);

        return $response;
    }

    public function readNote(string $name): Response
    {
        return new Response(file_get_contents($this->noted($name)));
    }

    private function noted(string $name): string
    {
        return ini_get('session.save_path')."/note-$name";
    }
}

$kernel = new Enclosure('prod', false);
$request = Request::createFromGlobals();
$response = $kernel->handle($request);
$response->send();
$kernel->terminate($request, $response);
